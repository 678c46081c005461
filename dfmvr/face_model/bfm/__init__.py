"""The Basel Face Model 2009 with FaceWarehouse expressions, from the files of a user who has the licence."""
