"""Colours that stay apart for colour-blind eyes, on paper and on a dark screen."""

# Okabe and Ito 2008, without black and with the yellow darkened enough to be seen on white.
SITES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7a00", "#7f7f7f")
ARMS = {"federated": "#0072b2", "pooled": "#009e73", "local": "#d55e00"}
# Values of a category; none is mistaken for a site.
VALUES = ("#3b528b", "#5ec962", "#440154", "#c2b01c", "#21918c", "#a0522d", "#9c89b8")
REST = "#cccccc"
REFERENCE = "#f0e442"  # outlines over grey MRI: yellow against sky blue differ for every kind of vision
PREDICTION = "#56b4e9"


def site_colour(index: int) -> str:
    """The colour of the site at this place; they come round again after the eighth."""
    return SITES[index % len(SITES)]
