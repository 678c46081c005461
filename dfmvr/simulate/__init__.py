"""Stage `simulate`: stand-in data sets of people who do not exist, photographed and scanned."""
