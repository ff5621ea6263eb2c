"""Numbers become tables, plots and one HTML page."""
