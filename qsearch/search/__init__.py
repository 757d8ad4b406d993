"""Limits -> space -> trials. The only room that knows KerasTuner."""
