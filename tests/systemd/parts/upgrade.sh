# upgrade
