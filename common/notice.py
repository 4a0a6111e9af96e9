"""What every output says of itself, where somebody could take it for more."""

NOTICE = "research software, not a medical device"
