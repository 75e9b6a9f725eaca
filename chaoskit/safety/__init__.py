"""Nothing stays broken: who runs what on this machine, who watches over it, and who takes back what is left."""
