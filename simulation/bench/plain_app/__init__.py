"""An ordinary Flower app, without anything of fedmets: the baseline of `fedmets-sim bench transport`."""
