"""Who is photographed: heads of two populations, with skin, hair and clothes."""
