"""Pixel-Face: three photographs, a scan with 106 keypoints and a registered mesh a sample; in two layouts."""
