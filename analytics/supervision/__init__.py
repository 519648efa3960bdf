"""The daily supervision of vehicles: what a day's points come to, by vehicle, company and city."""
