"""External validation: a frozen bundle on other people's patients, and what could be done there.

The figures of one set of films are `hilum.evaluation`'s; why they differ is `robustness.shift`'s.
"""
