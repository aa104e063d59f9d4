"""Listings and clips of each data set: the only room that knows what one of them holds."""
