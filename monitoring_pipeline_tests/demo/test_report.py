"""The closing report, word for word."""

from datetime import date

from monitoring_pipeline.demo.report import (
    DriftedColumn,
    MonitorReport,
    MonthPerformance,
    Place,
    ReportedIncident,
    UncoveredDay,
    render,
)

REPORT = MonitorReport(
    monitor="late15",
    n_windows=275,
    n_failed=1,
    n_rows=255_998,
    n_duplicates=253,
    n_quarantined=5,
    metric="roc_auc",
    reference_value=0.7331,
    drifted=[
        DriftedColumn("visibility", 12, 275, "psi", 0.4, date(2013, 5, 23)),
        DriftedColumn("temperature", 260, 275, "psi", 8.1234, date(2013, 7, 18)),
        DriftedColumn("carrier", 0, 275, "psi", 0.01, date(2013, 7, 18)),
    ],
    months=[
        MonthPerformance(date(2013, 5, 1), 0.7551, None, None, 28_000, 0.9751),
        MonthPerformance(date(2013, 4, 1), 0.7081, 0.7, 0.7162, 27_500, 0.9712),
    ],
    uncovered=[
        UncoveredDay(date(2013, 12, 10), 950, 0.7811, 0.98),
        UncoveredDay(date(2013, 5, 23), 960, 0.7744, 0.98),
    ],
    incidents=[
        ReportedIncident(date(2013, 12, 24), "warning", "Feature drift since 2013-12-24: a sentence that is short."),
        ReportedIncident(
            date(2013, 2, 8),
            "critical",
            "Concept drift from 2013-02-08 to 2013-02-11 (4 windows): the AUC changed by -0.080 and more is said here.",
        ),
    ],
    n_notices=1_234,
)

TEXT = """\
late15: 275 windows, 1 failed, 255,998 predictions (253 duplicates removed, 5 rows quarantined)
  columns that drifted most from training
    temperature                 260 of 275 windows, most on 2013-07-18 (psi 8.12)
    visibility                   12 of 275 windows, most on 2013-05-23 (psi 0.40)
  roc_auc by month (reference 0.733)
    2013-04    0.708 [0.700, 0.716]    27,500 outcomes (97.1%)
    2013-05    0.755                   28,000 outcomes (97.5%)
  days with missing outcomes (cancellations)
    2013-05-23  77% of 960 predictions (typically 98%)
    2013-12-10  78% of 950 predictions (typically 98%)
  incidents (1,234 differences are season or trend)
    critical: Concept drift from 2013-02-08 to 2013-02-11 (4 windows): the AUC changed by -0.080 and
      more is said here.
    warning: Feature drift since 2013-12-24: a sentence that is short.

Next steps
  figures in SQL  monitoring-pipeline db psql
  assets          http://127.0.0.1:3000

Done in 123 s."""


def test_the_report_says_what_was_found_worst_first() -> None:
    places = [Place("figures in SQL", "monitoring-pipeline db psql"), Place("assets", "http://127.0.0.1:3000")]
    assert render([REPORT], places, 123.4) == TEXT


def test_a_report_of_nothing() -> None:
    empty = MonitorReport("m", 0, 0, 0, 0, 0, "mae", None, [], [], [], [], 0)
    text = render([empty], [], 0.0)
    assert "    nothing\n" in text
    assert "  mae by month\n    no outcomes yet\n" in text
    assert "    none\n" in text
