"""What every dashboard shares: data sources, colours, targets, panels, tables, variables, links and the page.

A page says what is asked and where it stands; how a panel looks is said here, once.
"""
