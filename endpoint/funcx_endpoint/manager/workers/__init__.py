"""The worker processes of a manager: started, listened to, limited, and their deaths told."""
