"""Plain `nn.Module` nets that keep the key names of the original files."""
