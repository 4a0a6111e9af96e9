"""What each network costs on this machine: `fedmets-sim models`."""
