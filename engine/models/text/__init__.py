"""Text encoders: tokens, prompt weights and the encoders themselves."""
