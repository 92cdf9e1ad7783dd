"""What networks are scored by: softmax (eq 12–14), mixture density (eq 15–37), bits per character, compressors."""
