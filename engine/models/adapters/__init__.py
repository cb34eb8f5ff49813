"""Adapters: small files that change the weights of a net (LoRA and its relatives)."""
