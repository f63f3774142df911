"""What `hilum data check` tells of a data set: counts, films, duplicates, leaks, problems."""
