"""Few meanings, few colours, told apart by colour-blind eyes and in both themes. Good is the absence of colour.

Named colours follow the theme. States also have a shape and a word.
"""

REALIZED = "blue"
ESTIMATED = "purple"
WARNING = "orange"
BAD = "semi-dark-red"
QUIET = "#8e8e8e"
"""Not final, not judged, or what one compares with."""
REFERENCE = QUIET
CALM = "text"
CALM_AREA = "rgba(110, 150, 210, 0.25)"
"""Of states that are good: seen on both themes, and calm."""
# Series without a meaning of their own: segments, columns, versions (after Okabe and Ito 2008)
OTHERS = ("blue", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8e8e8e", "#D55E00", "#B8A72C", "#7A6FBF", "#4C9A8F")
