"""What an application exchanges with others: as a document, and compared with an earlier one."""
