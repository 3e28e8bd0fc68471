"""What a browser is shown. Strings in, HTML out."""
