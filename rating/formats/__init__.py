"""One module per deck file format; each reads bytes into rows of one shape (`fields.ParsedRow`) and row errors."""
