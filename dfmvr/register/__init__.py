"""Stage `register`: predictions to scans, by a similarity of seven landmarks, then point-to-plane ICP (Sec. IV-A)."""
