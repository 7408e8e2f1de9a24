"""What a run's files say: statistics over seeds, intervals, rows and tables. Read by study, report and command line."""
