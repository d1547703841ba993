"""The one metric of each task that stands for a model's performance where there is room for one."""

HEADLINE = {"binary": "roc_auc", "multiclass": "f1_macro", "regression": "mae"}
