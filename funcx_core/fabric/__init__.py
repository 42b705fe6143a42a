"""`funcx up | down | status | doctor | demo | lab | token`: a whole fabric on one machine, composed of processes."""
