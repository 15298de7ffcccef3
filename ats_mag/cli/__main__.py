from ats_mag.cli import main

main()
