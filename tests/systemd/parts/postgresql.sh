# postgresql
