"""What notification does: tell projects and watchers what happened."""
