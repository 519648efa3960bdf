"""Second persons' approvals, and break-glasses, kept in one file."""
