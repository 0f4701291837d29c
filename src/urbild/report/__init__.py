"""An evaluation -> one self-contained HTML page, and the figures and pictures of it. Nothing is measured here."""

from urbild.report.page import build
from urbild.report.pictures import heat_scale, overlay, sample_grid, save_heatmap

__all__ = ["build", "heat_scale", "overlay", "sample_grid", "save_heatmap"]
