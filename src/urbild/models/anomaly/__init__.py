"""Systems made to detect anomalies."""
