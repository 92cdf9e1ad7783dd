"""The report: what the results say beside what the paper says, in one page that opens from disk."""
