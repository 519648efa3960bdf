"""Trackers that speak JSON of their own: OwnTracks and Teltonika over MQTT, OsmAnd and Traccar's client over HTTP.

`owntracks` and `teltonika` are called by `ingest.decode.decoder`, `http.OsmandServer` is the way in for OsmAnd. Each reads
its form into `OpenPoint` rows; `ingest.decode.points` makes columns of them. Whether a value is possible is not judged here.
"""
