"""What terminals tell besides places, alarms and media."""
