"""Files that hold a table: what their names say, their rows as bytes, and a sample of them. Knows no column."""
