"""The phantom: how synthetic chest radiographs are made, from patient to pixels.

Cohorts of them are left to `hilum.data.sources.phantom`.
"""
