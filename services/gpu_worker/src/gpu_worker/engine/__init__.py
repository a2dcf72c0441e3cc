"""The engine child: the only code that touches torch and diffusers."""
