"""Questions asked of tracks after the fact: two places, company, the cameras passed."""
