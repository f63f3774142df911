"""Making further engines of a bundle, each held against torch before it may be used."""
