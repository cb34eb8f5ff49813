"""What every floor stands on: errors, JSON, settings, logging, units. Standard library only."""
