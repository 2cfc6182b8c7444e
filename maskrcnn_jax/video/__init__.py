"""Video files and cameras: frames in; identities, counts and a drawn video out. No model here."""
