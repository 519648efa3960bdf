"""The time series in InfluxDB."""
