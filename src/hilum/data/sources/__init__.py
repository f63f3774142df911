"""One module per public data set, each turning it into a Cohort."""
