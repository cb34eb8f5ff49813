"""What steers a UNet besides words: ControlNets, adapters, boxes, pictures."""
