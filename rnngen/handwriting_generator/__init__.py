"""A pen: text becomes the movement of a hand. Glyphs, hands, lines, and archives in IAM-OnDB's format."""
