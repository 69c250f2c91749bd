"""Reports of an evaluation: JSON for programs, Markdown and one self-contained HTML page for people."""

from segany.evaluate.report.document import FORMAT, to_document, to_reports
from segany.evaluate.report.write import REPORT_FILES, prepare_folder, write_report

__all__ = ["FORMAT", "REPORT_FILES", "prepare_folder", "to_document", "to_reports", "write_report"]
