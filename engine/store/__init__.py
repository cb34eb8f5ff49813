"""Files: path confinement, model folders, file headers, digests, artifacts, PNG metadata. No torch."""
