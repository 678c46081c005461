"""Stage `fetch`: checks the data that a user must supply, and downloads what may be downloaded."""
